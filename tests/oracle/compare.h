// Where two results of one test differ, after masking what the manuals leave undefined.
//
// Undefined flags taint to the block's end unless a later instruction defines them. RF, IF and
// reserved flags are not compared, nor what a code size cannot see (upper halves in 32-bit code).
#pragma once

#include <string>
#include <vector>

#include "tests/oracle/test_case.h"

namespace penumbra::oracle {

struct Mask {
  u32 flags = 0;                  ///< EFLAGS bits that are undefined
  bool any_memory_fault = false;  ///< two memory operands: which one's fault shows is not defined
  unsigned mxcsr_masks = 0;       ///< MXCSR_MASKs in memory, whose bit 17 is the host's alone
  bool operator==(const Mask&) const = default;
};

/// What is undefined at the end of `test`'s code, or where it faulted.
Mask undefined_after(const Test& test, const Result& result);

/// One line a difference: "rax: expected .., got ..". Empty: the results agree.
std::vector<std::string> differences(const Test& test, const Result& expected, const Result& got,
                                     const Mask& mask);

}  // namespace penumbra::oracle
