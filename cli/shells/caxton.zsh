#compdef caxton
_caxton() {
  local line name
  local -a described
  for line in "${(@f)$("$words[1]" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    [[ -n $line ]] || continue
    name="${line%%$'\t'*}"
    described+=("${name//:/\\:}:${line#*$'\t'}")
  done
  if (( $#described )); then _describe caxton described; else _files; fi
}
compdef _caxton caxton
