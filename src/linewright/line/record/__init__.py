"""Reading the record of a factory: models, alerts, evidence, costs."""
