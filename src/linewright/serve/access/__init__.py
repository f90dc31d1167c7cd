"""Who may ask for what: rights, and the tokens that carry them. Below both servers, so that both ask the same question."""
