# HIPFORGE_OPS: what configuring says and which sources it takes.
#   cmake -D SOURCE=... -D WORK=... -D GENERATOR=... -D DEPS=... -P ops_test.cmake
cmake_minimum_required(VERSION 3.24)

# configure(ops): sets code, said (in one line) and sources, those of the build.
function(configure ops)
  file(REMOVE_RECURSE ${WORK})
  execute_process(COMMAND ${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK} -G ${GENERATOR} -D HIPFORGE_OPS=${ops} -D HIPFORGE_UNITY=OFF
                          -D CMAKE_PREFIX_PATH=${DEPS} -D CMAKE_EXPORT_COMPILE_COMMANDS=ON
                  RESULT_VARIABLE code OUTPUT_VARIABLE said ERROR_VARIABLE said)
  string(REGEX REPLACE "[ \n]+" " " said "${said}")
  set(sources "")
  if(code EQUAL 0)
    file(STRINGS ${WORK}/compile_commands.json files REGEX "\"file\": ")
    foreach(file ${files})
      string(REGEX REPLACE ".*\"file\": \"([^\"]+)\".*" "\\1" file ${file})
      list(APPEND sources ${file})
    endforeach()
  endif()
  foreach(name code said sources)
    set(${name} "${${name}}" PARENT_SCOPE)
  endforeach()
endfunction()

function(expect_said text)
  string(FIND "${said}" "${text}" at)
  if(at EQUAL -1)
    message(FATAL_ERROR "configuring did not say: ${text}\n${said}")
  endif()
endfunction()

# expect_ops(ops...): no other op's kernel, oracle, suite or test is built, and these are.
function(expect_ops)
  file(GLOB headers RELATIVE ${SOURCE}/kernels ${SOURCE}/kernels/*.h)
  foreach(header ${headers})
    string(REPLACE ".h" "" op ${header})
    set(of_op ${sources})
    list(FILTER of_op INCLUDE REGEX "/(kernels|reference|harness/ops|tests/kernels|tests/reference)/${op}(_test)?[.](hip|cpp)$")
    list(LENGTH of_op count)
    if(op IN_LIST ARGN AND NOT count EQUAL 5)
      message(FATAL_ERROR "of ${op} these are built: ${of_op}")
    elseif(NOT op IN_LIST ARGN AND NOT count EQUAL 0)
      message(FATAL_ERROR "${op} is built: ${of_op}")
    endif()
  endforeach()
endfunction()

configure(rms_nrom)
if(code EQUAL 0)
  message(FATAL_ERROR "a misspelt op configures")
endif()
expect_said("HIPFORGE_OPS: rms_nrom is not an op, choose from rms_norm, softmax, ")

configure(rms_norm)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "one op does not configure: ${said}")
endif()
expect_ops(rms_norm)
expect_said("HIPFORGE_OPS: the model runner is left out, for it needs argmax, ")
expect_said("HIPFORGE_OPS: left out of hipforge, for they need other ops: harness/study/accuracy_study.cpp")

# The test of sample draws the argmax beside it.
configure(sample,softmax)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "two ops do not configure: ${said}")
endif()
expect_ops(argmax sample softmax)
expect_said("HIPFORGE_OPS: argmax comes along, sample needs it")
file(REMOVE_RECURSE ${WORK})
