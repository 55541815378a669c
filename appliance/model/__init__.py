"""The field's words as frozen structs. Imports nothing else of ours."""
