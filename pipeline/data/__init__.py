"""Tables from source to arrays: engine, sources, schema, cleaning, splitting, preprocessing."""
