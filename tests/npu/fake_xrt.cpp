// SPDX-License-Identifier: Apache-2.0
// A stand-in for libxrt_coreutil.so.2, built from XRT's own public headers: what the
// module calls, computed on the CPU. For tests only.
//
// Each buffer has a host copy and a device copy that only sync joins, both full of NaN
// at first: a sync that is forgotten is seen in the numbers. A run that is dropped
// before it has ended ends the process, as XRT 2.25 does.
//
// MF_FAKE_XRT, read when a device is opened, lists faults by commas; one with @N
// happens at the N-th run after that only:
//   no-device  refuse-context  no-memory  never  error  abort  wrong  refuse-start
//   delay=MS   (a run takes longer)
//   stuck      (start does not return)
//   quiet-wait (a wait that is over returns, as later drivers do; else it throws)
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <sstream>
#include <system_error>
#include <thread>
#include <vector>

#include "npu/xrt/xrt_headers.hpp"

#ifndef FAKE_VERSION
#    define FAKE_VERSION XRT_VERSION_CODE
#endif

namespace fake
{

constexpr std::uint32_t MAGIC = 0x31554d45; // "EMU1"
constexpr unsigned char POISON = 0xff;      // NaN as bf16 and as f32
constexpr auto HOUR = std::chrono::hours(1);

class faults
{
  public:
    void read()
    {
        const char *text = std::getenv("MF_FAKE_XRT");
        std::stringstream words(text == nullptr ? "" : text);

        for (std::string word; std::getline(words, word, ',');) {
            if (word.rfind("delay=", 0) == 0) {
                delay = std::chrono::milliseconds(std::stoi(word.substr(6)));
                continue;
            }
            auto at = word.find('@');
            unsigned run = at == std::string::npos ? 0 : std::stoi(word.substr(at + 1));
            at_run[word.substr(0, at)] = run; // 0: always
        }
    }

    bool has(const char *name, unsigned run = 0) const
    {
        auto found = at_run.find(name);

        return found != at_run.end() && (found->second == 0 || found->second == run);
    }

    std::chrono::milliseconds delay{0};

  private:
    std::map<std::string, unsigned> at_run;
};

struct memory {
    explicit memory(size_t n) : host(n, POISON), device(n, POISON)
    {
    }

    std::vector<unsigned char> host, device;
};

float number(std::uint16_t v)
{
    std::uint32_t bits = static_cast<std::uint32_t>(v) << 16;
    float f;

    std::memcpy(&f, &bits, sizeof(f));
    return f;
}

struct program {
    std::uint32_t magic, m, k, n, gelu, tiled;
};

size_t place(const program &p, std::uint32_t row, std::uint32_t col)
{
    if (p.tiled == 0) {
        return static_cast<size_t>(row) * p.n + col;
    }
    size_t tile = static_cast<size_t>(row / 8) * (p.n / 8) + col / 8;
    return tile * 64 + static_cast<size_t>(row % 8) * 8 + col % 8;
}

// Sums in f32 with k ascending.
void multiply(const program &p, const std::uint16_t *a, const std::uint16_t *b,
              float *c)
{
    std::vector<float> plain(static_cast<size_t>(p.k) * p.n);

    for (std::uint32_t k = 0; k < p.k; k++) {
        for (std::uint32_t n = 0; n < p.n; n++) {
            plain[static_cast<size_t>(k) * p.n + n] = number(b[place(p, k, n)]);
        }
    }
    for (std::uint32_t m = 0; m < p.m; m++) {
        float *row = c + static_cast<size_t>(m) * p.n;

        std::fill(row, row + p.n, 0.0F);
        for (std::uint32_t k = 0; k < p.k; k++) {
            const float *w = &plain[static_cast<size_t>(k) * p.n];
            float x = number(a[static_cast<size_t>(m) * p.k + k]);

            for (std::uint32_t n = 0; n < p.n; n++) {
                row[n] += x * w[n];
            }
        }
        for (std::uint32_t n = 0; p.gelu != 0 && n < p.n; n++) {
            row[n] =
                0.5F * row[n] * (1 + std::erf(row[n] * static_cast<float>(M_SQRT1_2)));
        }
    }
}

} // namespace fake

namespace xrt_core
{
class device
{
  public:
    fake::faults faults;
    unsigned n_runs = 0;
};
} // namespace xrt_core

namespace xrt
{

using device_ptr = std::shared_ptr<xrt_core::device>;

class xclbin_impl
{
  public:
    std::vector<char> bytes;
};

class bo_impl
{
  public:
    unsigned char *device_at(size_t n) const
    {
        return n <= size ? memory->device.data() + offset : nullptr;
    }

    std::shared_ptr<fake::memory> memory;
    size_t offset = 0, size = 0;
    bool is_cacheable = false;
};

class kernel_impl
{
  public:
    device_ptr device;
};

#if MF_XRT_HAS_CONTEXT
class hw_context_impl
{
  public:
    device_ptr device;
};
#endif

class run_impl
{
  public:
    ~run_impl()
    {
        {
            std::lock_guard<std::mutex> hold(lock);

            if (state == ERT_CMD_STATE_RUNNING) {
                std::fprintf(stderr, "xrt::run destructed while it is in progress\n");
                std::abort();
            }
        }
        if (thread.joinable()) {
            thread.join();
        }
    }

    ert_cmd_state compute(unsigned run)
    {
        const fake::faults &f = device->faults;
        fake::program p;

        std::this_thread::sleep_for(f.delay);
        if (f.has("error", run) || f.has("abort", run)) {
            return f.has("abort", run) ? ERT_CMD_STATE_ABORT : ERT_CMD_STATE_ERROR;
        }
        const unsigned char *words = buffers.at(1)->device_at(sizeof(p));
        if (words == nullptr || scalars[0] != 3 || !buffers.at(1)->is_cacheable ||
            scalars[2] * 4 != buffers.at(1)->size) {
            return ERT_CMD_STATE_ERROR;
        }
        std::memcpy(&p, words, sizeof(p));
        if (p.magic != fake::MAGIC) {
            return ERT_CMD_STATE_ERROR;
        }
        return product(p, f.has("wrong", run));
    }

    device_ptr device;
    std::map<int, std::shared_ptr<bo_impl>> buffers;
    std::map<int, std::uint64_t> scalars;
    std::thread thread;
    std::mutex lock;
    std::condition_variable news;
    ert_cmd_state state = ERT_CMD_STATE_NEW;

  private:
    ert_cmd_state product(const fake::program &p, bool is_wrong)
    {
        size_t n_c = static_cast<size_t>(p.m) * p.n;
        auto *a = buffers.at(3)->device_at(static_cast<size_t>(p.m) * p.k * 2);
        auto *b = buffers.at(4)->device_at(static_cast<size_t>(p.k) * p.n * 2);
        auto *c = buffers.at(5)->device_at(n_c * 4);

        if (a == nullptr || b == nullptr || c == nullptr ||
            buffers.at(3)->is_cacheable) {
            return ERT_CMD_STATE_ERROR;
        }
        auto *out = reinterpret_cast<float *>(c);
        fake::multiply(p, reinterpret_cast<std::uint16_t *>(a),
                       reinterpret_cast<std::uint16_t *>(b), out);
        if (is_wrong) {
            out[n_c / 3] += 100; // and the state says that all is well
        }
        return ERT_CMD_STATE_COMPLETED;
    }
};

namespace ini
{
void set(const std::string &, const std::string &)
{
}
} // namespace ini

// ---- device ----

device::device(unsigned index) : handle(std::make_shared<xrt_core::device>())
{
    handle->faults.read();
    if (handle->faults.has("no-device") || index != 0) {
        throw std::runtime_error(" No such device with index '" +
                                 std::to_string(index) + "'");
    }
}

device::operator xclDeviceHandle() const
{
    return handle.get();
}

std::any device::get_info_std(info::device, const detail::abi &) const
{
    return std::string("fake NPU");
}

xclbin::xclbin(const std::vector<char> &data)
    : detail::pimpl<xclbin_impl>(std::make_shared<xclbin_impl>())
{
    if (data.size() < 8 || std::memcmp(data.data(), "xclbin2", 8) != 0) {
        throw std::runtime_error("Invalid xclbin");
    }
    handle->bytes = data;
}

uuid xclbin::get_uuid() const
{
    return {};
}

// ---- kernel ----

#if MF_XRT_HAS_CONTEXT
device::~device() = default;
bo::~bo() = default;
kernel::~kernel() = default;
run::~run() = default;
hw_context::~hw_context() = default;

uuid device::register_xclbin(const xrt::xclbin &)
{
    return {};
}

hw_context::hw_context(const device &d, const uuid &, access_mode)
    : detail::pimpl<hw_context_impl>(std::make_shared<hw_context_impl>())
{
    handle->device = d.get_handle();
    if (handle->device->faults.has("refuse-context")) {
        throw std::system_error(
            EINVAL, std::generic_category(),
            "DRM_IOCTL_AMDXDNA_CREATE_HWCTX IOCTL failed (err=-22)");
    }
}

kernel::kernel(const hw_context &context, const std::string &)
    : handle(std::make_shared<kernel_impl>())
{
    handle->device = context.get_handle()->device;
}
#else
uuid device::load_xclbin(const xrt::xclbin &)
{
    if (handle->faults.has("refuse-context")) {
        throw std::system_error(EINVAL, std::generic_category(), "load_axlf failed");
    }
    return {};
}

kernel::kernel(const device &d, const uuid &, const std::string &, cu_access_mode)
    : handle(std::make_shared<kernel_impl>())
{
    handle->device = d.get_handle();
}
#endif

#if MF_XRT_HAS_VERSION
unsigned version::code()
{
    return FAKE_VERSION;
}
#endif

// Numbers as 2.25 gives them, with a slot in the high bits.
int kernel::group_id(int arg) const
{
    return arg == 1 ? 65537 : arg >= 3 ? 65536 : 131071;
}

// ---- buffers ----

static std::shared_ptr<bo_impl> bo_make(xrt_core::device *device, size_t size,
                                        bo::flags flags, memory_group group)
{
    auto bo = std::make_shared<bo_impl>();

    if (device->faults.has("no-memory")) {
        throw std::bad_alloc();
    }
    bo->is_cacheable = flags == bo::flags::cacheable;
    if (bo->is_cacheable ? group != 65537
                         : flags != bo::flags::host_only || group != 65536) {
        throw std::system_error(EINVAL, std::generic_category(), "Bad BO type.");
    }
    bo->memory = std::make_shared<fake::memory>(size);
    bo->size = size;
    return bo;
}

#if MF_XRT_HAS_CONTEXT
bo::bo(const device &d, size_t size, flags f, memory_group g)
    : handle(bo_make(d.get_handle().get(), size, f, g))
{
}
#else
bo::bo(xclDeviceHandle d, size_t size, flags f, memory_group g)
    : handle(bo_make(static_cast<xrt_core::device *>(d), size, f, g))
{
}
#endif

bo::bo(const bo &parent, size_t size, size_t offset)
    : handle(std::make_shared<bo_impl>(*parent.handle))
{
    if (offset > handle->size || size > handle->size - offset || offset % 4096 != 0) {
        throw std::system_error(EINVAL, std::generic_category(), "bad sub-buffer");
    }
    handle->offset += offset;
    handle->size = size;
}

void *bo::map()
{
    return handle->memory->host.data() + handle->offset;
}

void bo::sync(xclBOSyncDirection direction, size_t size, size_t offset)
{
    size_t at = handle->offset + offset;

    if (offset > handle->size || size > handle->size - offset) {
        throw std::system_error(EINVAL, std::generic_category(),
                                "Invalid BO offset and size for sync'ing");
    }
    auto &from = direction == XCL_BO_SYNC_BO_TO_DEVICE ? handle->memory->host
                                                       : handle->memory->device;
    auto &to = direction == XCL_BO_SYNC_BO_TO_DEVICE ? handle->memory->device
                                                     : handle->memory->host;
    std::memcpy(to.data() + at, from.data() + at, size);
}

// ---- runs ----

run::run(const kernel &k) : handle(std::make_shared<run_impl>())
{
    handle->device = k.get_handle()->device;
}

void run::set_arg_at_index(int index, const void *value, size_t n)
{
    if (n != (index == 0 ? 8U : 4U)) {
        throw std::runtime_error("an argument of another width");
    }
    handle->scalars[index] = 0;
    std::memcpy(&handle->scalars[index], value, n);
}

void run::set_arg_at_index(int index, const bo &b)
{
    handle->buffers[index] = b.get_handle();
}

void run::start()
{
    run_impl *r = handle.get();
    unsigned n = ++r->device->n_runs;

    if (r->thread.joinable()) {
        r->thread.join();
    }
    if (r->device->faults.has("stuck", n)) {
        std::this_thread::sleep_for(fake::HOUR);
    }
    if (r->device->faults.has("refuse-start", n)) {
        throw std::runtime_error("bad command state, can't launch");
    }
    r->state = ERT_CMD_STATE_RUNNING;
    if (r->device->faults.has("never", n)) {
        return;
    }
    r->thread = std::thread([r, n] {
        auto state = r->compute(n);
        std::lock_guard<std::mutex> hold(r->lock);
        r->state = state;
        r->news.notify_all();
    });
}

ert_cmd_state run::wait(const std::chrono::milliseconds &ms) const
{
    std::unique_lock<std::mutex> hold(handle->lock);
    auto has_ended = [this] { return handle->state != ERT_CMD_STATE_RUNNING; };

    if (ms.count() == 0) {
        handle->news.wait(hold, has_ended);
    }
    if (handle->news.wait_for(hold, ms, has_ended)) {
        return handle->state;
    }
    if (handle->device->faults.has("quiet-wait")) {
        return ERT_CMD_STATE_TIMEOUT;
    }
    throw std::runtime_error("qds_device::wait() unexpected command state");
}

ert_cmd_state run::state() const
{
    std::lock_guard<std::mutex> hold(handle->lock);

    return handle->state;
}

} // namespace xrt
