"""The sections of params.yaml: one module per stage, each the single place where its values are checked."""
