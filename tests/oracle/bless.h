// Vectors with expected answers from the host CPU, reduced to the inputs that matter.
#pragma once

#include <string>

#include "tests/oracle/test_case.h"

namespace penumbra::oracle {

/// The line of `test` as the host answers it, every input that does not change the answer set back
/// to its standard value. Empty where the test has no definite end.
std::string bless(Test test, Runner& host);

}  // namespace penumbra::oracle
