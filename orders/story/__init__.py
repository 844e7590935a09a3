"""What happened to an order, for people: a sentence, its states in time, and each attempt with why it went as it did.

Made from what the API tells of an order, too, and from nothing else. It asks nobody and writes nothing.
"""
