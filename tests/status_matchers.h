#pragma once

#include "kernels/runtime/status.h"

#include <gtest/gtest.h>

namespace hipforge {

/// The code is as expected and every text stands in the message.
template <class... Texts>
void expect_status(const Status& status, StatusCode code, const Texts&... texts) {
  EXPECT_STREQ(status_code_name(status.code), status_code_name(code)) << status.message;
  for (const std::string& text : std::initializer_list<std::string>{std::string(texts)...}) {
    EXPECT_NE(status.message.find(text), std::string::npos)
        << "'" << text << "' is not in: " << status.message;
  }
}

}  // namespace hipforge

#define ASSERT_OK(expression)                                                \
  do {                                                                       \
    const ::hipforge::Status asserted_ = (expression);                       \
    ASSERT_TRUE(asserted_.ok()) << #expression << ": " << asserted_.message; \
  } while (false)
