"""`tlkit serve`: an exported model over HTTP, on one machine, without torch. The door to FastAPI and uvicorn."""
