"""What do all other packages need? Errors, atomic files, records, seeds, sections of params.yaml."""
