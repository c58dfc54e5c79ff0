mf_test(hash_model SOURCES unit/test_hash_model.c DEPENDS embed)
mf_test(hash_words SOURCES unit/test_hash_words.c DEPENDS embed)

# A model for tests of whatever embeds; other folders link it too.
add_library(mf_fakemodel STATIC lib/fake_model.c)
mf_target_defaults(mf_fakemodel)
target_include_directories(mf_fakemodel PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(mf_fakemodel PUBLIC mf_embed)

add_library(mf_embedfix STATIC lib/embed_fixture.c)
mf_target_defaults(mf_embedfix)
target_include_directories(mf_embedfix PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_link_libraries(mf_embedfix PUBLIC mf_fakemodel mf_testlib)

foreach(name embed embed_fault embed_share embed_load embed_prompt embed_cancel
        embed_spare)
  mf_test(${name} SOURCES unit/test_${name}.c DEPENDS embedfix)
endforeach()
mf_test(embed_order SOURCES unit/test_embed_order.c DEPENDS embed)
mf_test(transformer SOURCES unit/test_transformer.c lib/gguf_file.c lib/model_folder.c
        DEPENDS embed weights)
mf_test(transformer_flood SOURCES unit/test_transformer_flood.c lib/model_folder.c
        DEPENDS embed weights)
# The same, longer: make torture.
add_test(NAME torture.transformer_flood COMMAND test_transformer_flood)
set_tests_properties(torture.transformer_flood PROPERTIES LABELS torture TIMEOUT 3600
  ENVIRONMENT "MF_FLOOD_TOKENS=24000000")
