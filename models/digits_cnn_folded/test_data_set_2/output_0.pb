
BprobabilitiesJ(;m<ÏĞ?’‚Y=~İj<ÔÄ=7Za=ğŞ=bŸW=\õd<näŠ=