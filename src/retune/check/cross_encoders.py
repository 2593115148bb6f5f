"""Where a tuned cross-encoder stands in params.yaml although a model with vectors is needed."""

from collections.abc import Iterator

from retune.check.project import Project

EMBEDDERS = {  # by section, the fields that name a model with vectors
    "finetune": ("base", "guide"),
    "mine": ("model",),
    "synthesize": ("model",),
    "merge": ("base", "tuned", "tuned_2"),
    "export": ("model",),
    "predict": ("model",),
}


def misplaced_cross_encoders(project: Project) -> Iterator[str]:
    """Yield tuned cross-encoders in places that need an embedding model."""
    cross_encoders = project.cross_encoders
    for section, fields in EMBEDDERS.items():
        for name, entry in getattr(project, section).items():
            is_cross_encoder = section == "finetune" and name in cross_encoders  # its base may be one, too
            for field in fields[1:] if is_cross_encoder else fields:
                if (model := getattr(entry, field)) in cross_encoders:
                    yield (
                        f"{section}.{name}.{field}: expected an embedding model, got {model!r}, which is a "
                        "cross-encoder and has no vectors; name it as mine.<name>.scorer"
                    )
