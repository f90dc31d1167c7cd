"""Release of a candidate: decision, rollout, next steps, card."""
