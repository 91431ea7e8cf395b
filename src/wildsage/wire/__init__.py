"""AWS's wire: requests in, answers out, by AWS's own models.

app        the life of a request          dispatch   which service and operation
sigv4, sigv2, payload                     who signed it, and the bytes they signed
model, shapes, quirks                     botocore's models, made into functions
protocols, rest                           one codec per operation and protocol
json_codec, query_codec, xml_codec, scalars   values as they stand in bodies and headers
validation, patterns                      the models' constraints, with AWS's texts
context, streams, errors, registry, record    what handlers and the server see
"""
