add_executable(journal_child unit/journal_child.c unit/journal_items.c)
mf_target_defaults(journal_child)
target_include_directories(journal_child PRIVATE ${PROJECT_SOURCE_DIR}/tests)
target_link_libraries(journal_child PRIVATE mf_journal)

mf_test(journal_record SOURCES unit/test_journal_record.c unit/journal_items.c
        DEPENDS journal)
foreach(name group group_sim)
  mf_test(journal_${name} SOURCES unit/test_journal_${name}.c unit/journal_groupkit.c
    DEPENDS journal)
endforeach()
foreach(name log damage fault loop crash known)
  mf_test(journal_${name}
    SOURCES unit/test_journal_${name}.c unit/journal_kit.c unit/journal_logkit.c
            unit/journal_items.c lib/fault_vfs.c
    DEPENDS journal)
  add_dependencies(test_journal_${name} journal_child)
  target_compile_definitions(test_journal_${name} PRIVATE
    MF_JOURNAL_CHILD="$<TARGET_FILE:journal_child>")
endforeach()
target_sources(test_journal_known PRIVATE unit/journal_groupkit.c)
