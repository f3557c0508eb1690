"""From data alone to a params.yaml: what `pipeline init FILE` looks at, concludes and writes.

proposal   the whole, from a source to what is proposed    opening   a source and a bounded sample of it
looking    kinds, typed rows, what a row asks              targets   which column may be the one to predict
shapes     long rows of series, and forecasts              sides     how to split, tried on the rows
leaks      columns that would give the target away         sizing    networks and sweeps that fit some minutes
remarks    what to say of the columns and the target       writing   the proposal as commented params.yaml
telling    the proposal in a few lines                     placing   where it goes, so that nothing is lost
examples   the examples that can be copied
"""
