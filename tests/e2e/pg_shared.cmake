# Two processes on one database; the long one is of make torture-pg. (pg.cmake comes first.)
mf_pg_pytest(pg_shared e2e VERSIONS 18)
mf_pg_pytest(pg_shared more VERSIONS 15)
mf_pg_pytest(pg_shared citus VERSIONS citus)
mf_pg_pytest(pg_shared torture-pg VERSIONS 15 18 TIMEOUT 7200
  ENVIRONMENT MF_SHARED_MESSAGES=100000)
