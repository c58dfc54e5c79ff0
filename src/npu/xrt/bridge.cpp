// SPDX-License-Identifier: Apache-2.0
#include "npu/xrt/bridge.h"

#include <dlfcn.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <vector>

#include "base/err.h"
#include "npu/xrt/xrt_headers.hpp"

// The order of the members is that of their lives: the kernel goes first.
struct mf_xrt_hw {
    xrt::device device;
    xrt::xclbin xclbin;
#if MF_XRT_HAS_CONTEXT
    xrt::hw_context context;
#endif
    xrt::kernel kernel;
};

struct mf_xrt_bo {
    xrt::bo bo;
    void *map = nullptr;
};

struct mf_xrt_run {
    xrt::run run;
};

namespace
{

constexpr std::uint64_t OPCODE_RUN = 3; // run the instructions that are handed over

int fail(mf_npu_err *err, int code, int sys, const char *text) noexcept
{
    if (err != nullptr) {
        err->code = code;
        err->sys = sys;
        // Some sentences of XRT begin with a blank.
        snprintf(err->text, sizeof(err->text), "XRT: %s", text + strspn(text, " "));
    }
    return code;
}

// Runs `f`; whatever it throws becomes a code and a sentence.
template <class F> int guarded(mf_npu_err *err, int code, F &&f) noexcept
{
    try {
        f();
        return 0;
    } catch (const std::bad_alloc &) {
        return fail(err, MF_ENOMEM, 0, "out of memory");
    } catch (const std::system_error &e) {
        return fail(err, e.code().value() == ENOMEM ? MF_ENOMEM : code,
                    e.code().value(), e.what());
    } catch (const std::exception &e) {
        return fail(err, code, 0, e.what());
    } catch (...) {
        return fail(err, code, 0, "an exception without a sentence");
    }
}

// As a destructor that fails would end the process: there is nobody to tell.
template <class T> void destroy(T *object) noexcept
{
    (void)guarded(nullptr, 0, [&] { delete object; });
}

// Before the first call: XRT's own log would go to the service's output, and printing
// its banner has ended processes.
void silence()
{
    static const bool is_done = [] {
        xrt::ini::set(std::string("Runtime.runtime_log"), std::string("null"));
        return true;
    }();

    (void)is_done;
}

enum mf_xrt_done judge(ert_cmd_state state) noexcept
{
    if (state == ERT_CMD_STATE_COMPLETED) {
        return MF_XRT_OK;
    }
    if (state < ERT_CMD_STATE_COMPLETED || state == ERT_CMD_STATE_SUBMITTED) {
        return MF_XRT_RUNNING;
    }
    return MF_XRT_FAILED;
}

} // namespace

const char *mf_xrt_generation(void)
{
    return MF_XRT_GENERATION;
}

bool mf_xrt_is_legacy(void)
{
    return MF_XRT_HAS_CONTEXT == 0;
}

bool mf_xrt_matches(void)
{
#if MF_XRT_HAS_VERSION
    return xrt::version::code() == XRT_VERSION_CODE;
#else
    void *lib = dlopen("libxrt_coreutil.so.2", RTLD_NOW | RTLD_NOLOAD);
    bool is_newer = lib == nullptr || dlsym(lib, "_ZN3xrt7version4codeEv") != nullptr;

    if (lib != nullptr) {
        (void)dlclose(lib); // gives back what dlopen counted above; it stays loaded
    }
    return !is_newer;
#endif
}

int mf_xrt_open(unsigned index, mf_xrt_hw **out, mf_npu_err *err)
{
    return guarded(err, MF_ENOTFOUND, [&] {
        silence();
        auto hw = std::make_unique<mf_xrt_hw>();
        hw->device = xrt::device(index);
        *out = hw.release();
    });
}

void mf_xrt_name(const mf_xrt_hw *hw, char *out, size_t n)
{
    out[0] = '\0';
    (void)guarded(nullptr, 0, [&] {
        auto name = hw->device.get_info<xrt::info::device::name>();
        snprintf(out, n, "%s", name.c_str());
    });
}

int mf_xrt_load(mf_xrt_hw *hw, const uint8_t *xclbin, size_t n, const char *kernel,
                mf_npu_err *err)
{
    return guarded(err, MF_EBACKEND, [&] {
        // From the bytes that were checked, not from a file that may be another by now.
        hw->xclbin = xrt::xclbin(std::vector<char>(xclbin, xclbin + n));
#if MF_XRT_HAS_CONTEXT
        auto uuid = hw->device.register_xclbin(hw->xclbin);
        hw->context = xrt::hw_context(hw->device, uuid);
        hw->kernel = xrt::kernel(hw->context, kernel);
#else
        auto uuid = hw->device.load_xclbin(hw->xclbin);
        hw->kernel = xrt::kernel(hw->device, uuid, kernel);
#endif
    });
}

void mf_xrt_close(mf_xrt_hw *hw)
{
    destroy(hw);
}

int mf_xrt_bo_new(mf_xrt_hw *hw, enum mf_xrt_arg arg, size_t bytes, mf_xrt_bo **out,
                  mf_npu_err *err)
{
    // Other kinds are refused by NPUs, or give zeros.
    auto flags = arg == MF_XRT_ARG_PROGRAM ? xrt::bo::flags::cacheable
                                           : xrt::bo::flags::host_only;

    return guarded(err, MF_EBACKEND, [&] {
        auto bo = std::make_unique<mf_xrt_bo>();
        auto group = static_cast<xrt::memory_group>(hw->kernel.group_id(arg));
        bo->bo = xrt::bo(hw->device, bytes, flags, group);
        bo->map = bo->bo.map();
        *out = bo.release();
    });
}

int mf_xrt_bo_part(mf_xrt_bo *of, size_t at, size_t n, mf_xrt_bo **out, mf_npu_err *err)
{
    return guarded(err, MF_EBACKEND, [&] {
        auto bo = std::make_unique<mf_xrt_bo>();
        bo->bo = xrt::bo(of->bo, n, at);
        *out = bo.release();
    });
}

void *mf_xrt_bo_map(mf_xrt_bo *bo)
{
    return bo->map;
}

int mf_xrt_bo_sync(mf_xrt_bo *bo, bool to_device, size_t at, size_t n, mf_npu_err *err)
{
    auto way = to_device ? XCL_BO_SYNC_BO_TO_DEVICE : XCL_BO_SYNC_BO_FROM_DEVICE;

    return guarded(err, MF_EBACKEND, [&] { bo->bo.sync(way, n, at); });
}

void mf_xrt_bo_free(mf_xrt_bo *bo)
{
    destroy(bo);
}

int mf_xrt_run_new(mf_xrt_hw *hw, const mf_xrt_args *args, mf_xrt_run **out,
                   mf_npu_err *err)
{
    return guarded(err, MF_EBACKEND, [&] {
        auto run = std::make_unique<mf_xrt_run>();
        run->run = xrt::run(hw->kernel);
        // The widths are those of the kernel's own description.
        std::uint64_t opcode = OPCODE_RUN;
        std::uint32_t n_words = args->n_words;
        run->run.set_arg(MF_XRT_ARG_OPCODE, opcode);
        run->run.set_arg(MF_XRT_ARG_PROGRAM, args->program->bo);
        run->run.set_arg(MF_XRT_ARG_N_WORDS, n_words);
        run->run.set_arg(MF_XRT_ARG_A, args->a->bo);
        run->run.set_arg(MF_XRT_ARG_B, args->b->bo);
        run->run.set_arg(MF_XRT_ARG_C, args->c->bo);
        *out = run.release();
    });
}

int mf_xrt_run_start(mf_xrt_run *run, mf_npu_err *err)
{
    return guarded(err, MF_EBACKEND, [&] { run->run.start(); });
}

enum mf_xrt_done mf_xrt_run_wait(mf_xrt_run *run, unsigned ms, mf_npu_err *err)
{
    ert_cmd_state state = ERT_CMD_STATE_NORESPONSE;
    mf_npu_err thrown = {};
    int rc;

    // A wait that is over in time returns a state, or (xdna plugin of 2.25) throws
    // "unexpected command state". Neither tells; the state of the run does.
    int waited = guarded(&thrown, MF_EBACKEND,
                         [&] { run->run.wait(std::chrono::milliseconds(ms)); });
    rc = guarded(err, MF_EBACKEND, [&] { state = run->run.state(); });
    if (rc < 0) {
        return MF_XRT_FAILED;
    }
    if (judge(state) == MF_XRT_FAILED) {
        char text[200];

        snprintf(text, sizeof(text), "the command ended in state %d%s%.120s",
                 static_cast<int>(state), waited < 0 ? ": " : "",
                 waited < 0 ? thrown.text : "");
        (void)fail(err, MF_EBACKEND, static_cast<int>(state), text);
    }
    return judge(state);
}

void mf_xrt_run_free(mf_xrt_run *run)
{
    destroy(run);
}
