"""What is kept: voices, recordings, documents, tasks, and the journal of what is paid for."""
