# The helper process and the backend that talks to it.
target_sources(mf_npu PRIVATE remote.c remote_call.c remote_child.c remote_jobs.c
  remote_mem.c remote_plan.c remote_reader.c remote_replay.c remote_span.c
  wire.c worker.c worker_jobs.c worker_ops.c)
