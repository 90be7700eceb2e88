# First line of the installed executables. The default follows an activated virtual environment and is the system's Python
# elsewhere, as ROS installations expect; `make build` names the interpreter of its own environment.
set(VMEM_SHEBANG "/usr/bin/env python3" CACHE STRING "Interpreter line of the installed executables, without '#!'")

# vmem_python_executable(<name> <module> DESTINATION <folder> [INTERRUPTED <status>])
#
# Install an executable <name> that calls main() of the Python module <module>. Its exit status after Ctrl-C while it is
# being imported: 0 unless given, for launch reports all else as a crash.
function(vmem_python_executable NAME MODULE)
  cmake_parse_arguments(PARSE_ARGV 2 ARG "" "DESTINATION;INTERRUPTED" "")
  if(NOT ARG_INTERRUPTED)
    set(ARG_INTERRUPTED 0)
  endif()
  set(script ${CMAKE_CURRENT_BINARY_DIR}/executables/${NAME})
  configure_file(${CMAKE_CURRENT_FUNCTION_LIST_DIR}/executable.py.in ${script} @ONLY
    FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
  install(PROGRAMS ${script} DESTINATION ${ARG_DESTINATION})
endfunction()
