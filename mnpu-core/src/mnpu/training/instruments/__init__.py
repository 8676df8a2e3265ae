"""Instruments: what training shows of itself, and the alerts that follow from it.

Read `api` first, then `recorder`, which lets instruments look at a fit and keeps what they say.
"""
