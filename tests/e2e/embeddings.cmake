mf_pytest(embeddings e2e/test_embeddings.py)
mf_pytest(tei e2e/test_tei.py)

# The public clients of today have a venv of their own (tools/pyenv.sh clients), and
# Node's a folder (tools/nodeenv.sh).
set(MF_CLIENTS_PYTHON "" CACHE FILEPATH
    "python with the packages of tests/e2e/requirements-clients.txt")
set(MF_NODE_MODULES "" CACHE PATH "node_modules with the package openai")
if(MF_CLIENTS_PYTHON)
  block()
    set(MF_PYTHON ${MF_CLIENTS_PYTHON})
    mf_pytest(embed_clients e2e/test_embed_clients.py)
  endblock()
  if(TEST e2e.embed_clients)
    set_property(TEST e2e.embed_clients APPEND PROPERTY
      ENVIRONMENT "MF_NODE_MODULES=${MF_NODE_MODULES}")
  endif()
endif()
