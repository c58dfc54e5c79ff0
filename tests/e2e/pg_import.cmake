# (pg.cmake comes first.)
mf_pytest(import e2e/test_import.py)
mf_pg_pytest(import e2e VERSIONS 15 18)
