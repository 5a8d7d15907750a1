# Runs COMMAND where no device is visible. WANT is `refusal` (exit code 3, nothing on stdout, one line on stderr that
# carries HIP's own error) or `success` (exit code 0, something on stdout).
set(ENV{HIP_VISIBLE_DEVICES} -1)
set(ENV{CUDA_VISIBLE_DEVICES} -1)
execute_process(COMMAND ${COMMAND} RESULT_VARIABLE code OUTPUT_VARIABLE out ERROR_VARIABLE err)
set(seen "exit code ${code}\nstdout: ${out}\nstderr: ${err}")
if(WANT STREQUAL "refusal")
  if(NOT code EQUAL 3 OR NOT out STREQUAL ""
     OR NOT err MATCHES "^[a-z_]+: no usable device: hipError[A-Za-z]+( \\([^\n]+\\))?\n$")
    message(FATAL_ERROR "wanted exit code 3 and one line with HIP's error\n${seen}")
  endif()
elseif(NOT code EQUAL 0 OR out STREQUAL "")
  message(FATAL_ERROR "wanted exit code 0 and a result\n${seen}")
endif()
