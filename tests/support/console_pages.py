"""The pages of the console by name, as tests ask for them."""

from linewright.interfaces.console.table import routes

PAGES = {route.name: route.entry for route in routes()}
