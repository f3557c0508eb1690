"""What a person sees while commands work: progress, lines, the log file, mishaps in words, help, completion."""
