function __caxton_complete
  set -l words (commandline -opc)
  set -l program $words[1]
  set -e words[1]
  set -l last (commandline -ct)
  set -l found ($program __complete -- $words "$last" 2>/dev/null)
  if test (count $found) -gt 0
    printf '%s\n' $found
  else
    __fish_complete_path "$last"
  end
end
complete -c caxton -f -a '(__caxton_complete)'
