"""Clips copied into packs, which are read several times as fast. For `marey data pack`."""
