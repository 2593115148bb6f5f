"""What does every other package need? Errors, atomic files, records, seeds, sections of params.yaml."""
