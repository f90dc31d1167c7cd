"""Forecasts of many series by one model: Theta, and trees over all series, combined by backtest."""
