# The service for others: one flight for each text, vectors kept.
pkg_check_modules(CRYPTO REQUIRED IMPORTED_TARGET libcrypto)
target_sources(mf_embed PRIVATE flight.c service.c vcache.c)
target_link_libraries(mf_embed PUBLIC PkgConfig::CRYPTO)
