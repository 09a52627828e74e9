"""Files for those who examine a model: ML bill of materials, dataset description, clauses. Needs no torch."""
