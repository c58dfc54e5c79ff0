/* SPDX-License-Identifier: Apache-2.0 */
/* A libxrt_coreutil.so.2 that tells a generation and holds nothing else. */
#ifdef FAKE_VERSION
unsigned _ZN3xrt7version4codeEv(void);

unsigned _ZN3xrt7version4codeEv(void)
{
    return FAKE_VERSION;
}
#endif

#ifdef FAKE_CONTEXT
void _ZN3xrt10hw_contextD1Ev(void);

void _ZN3xrt10hw_contextD1Ev(void)
{
}
#endif

/* So that a library without either is no empty file. */
extern const int fake_generation;
const int fake_generation = 1;
