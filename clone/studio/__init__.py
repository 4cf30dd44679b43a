"""The use cases, one module each; the page, the API and the command line call them through Studio."""
