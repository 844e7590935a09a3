"""The pages that people look at: trade, one order, operations, sign-in, and what went wrong.

They show what the REST API and the sockets tell any client; what they change, they ask of the API.
"""
