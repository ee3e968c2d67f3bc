"""The subjects of the sample city, one module each; `etl.synthetic_city.make` puts them together."""
