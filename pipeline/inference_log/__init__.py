"""What a server was asked and what it answered: segments in a folder, written without a pause, readable whatever was killed."""
