// SPDX-License-Identifier: Apache-2.0
// Does this XRT compile and link? One symbol of each class that the module needs.
#include "npu/xrt/xrt_headers.hpp"

int main(int argc, char **argv)
{
    if (argc > 1000) {
        xrt::device device(0);
        xrt::xclbin file{std::string(argv[1])};
        xrt::kernel kernel(device, file.get_uuid(), "kernel");
        xrt::bo bo(device, 4096, xrt::bo::flags::host_only, 0);
        xrt::run run(kernel);
        run.start();
    }
    return 0;
}
