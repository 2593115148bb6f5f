"""Which parameters can a person choose? One module per section of params.yaml."""
