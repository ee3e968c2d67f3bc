"""One Map (一张图): the spatio-temporal map of a Chinese county or city."""
