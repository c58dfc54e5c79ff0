# (pg.cmake comes first.)
mf_pg_pytest(pg_index e2e VERSIONS 15 18)
