"""Gates: what an audit must find for a build to pass, judged and reported."""
