# SPDX-License-Identifier: Apache-2.0
# members.awk: from preprocessed headers, one line "STRUCT MEMBER" for each member of a struct gavel_..., in order.
/^struct gavel_[a-z_]+ \{/ { name = $2; text = ""; next }
name != "" && /^\}/ { name = ""; next }
name == "" { next }
{
    text = text " " $0
    if (text !~ /;[ ]*$/)
        next
    if (match(text, /\(\*[a-z_0-9]+\)/)) {
        member = substr(text, RSTART + 2, RLENGTH - 3)
    } else {
        member = text
        sub(/[ ]*(\[[^]]*\])*[ ]*;.*/, "", member)
        sub(/.*[^a-z_0-9]/, "", member)
    }
    print name, member
    text = ""
}
