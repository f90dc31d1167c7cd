"""Extensions on which nothing depends."""
