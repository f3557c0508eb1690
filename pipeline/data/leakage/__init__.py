"""The leakage audit: what would flatter the numbers, found on the sides and told; nothing is changed by it.

auditing    all searches                                   finding    what they hand on
copies      rows that stand on two sides                   near       rows that a trifle sets apart
entities    keys whose values stand on two sides           future     values that were known only later
telling     single columns that give the target away       identities columns that make it up by sum or product
together    columns that give a class away together        labels     train labels that look wrong
telltale    how surely one column tells the target      profiles   things without a key on two sides
agreement   rows equal but for one column, by chance?
shift       rows by which the sides can be told apart      frames     bounded samples for models
page        the report
"""
