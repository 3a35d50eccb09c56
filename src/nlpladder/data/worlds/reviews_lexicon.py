"""The words of the ``reviews`` world, one tuple a word class, most frequent first.

Every word belongs to one class only and no word of a class is also a function word of a template: the ceilings of the
world rest on that (see ``grammar.py``), and a test holds it. Within a class the word of rank r is drawn with a
probability proportional to ``1 / r`` (Zipf), so that most words of a class are rare.
"""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


POSITIVE_ADJECTIVES = _words("""
    good great funny beautiful clever brilliant excellent wonderful moving superb charming amazing perfect strong
    fantastic smart lovely fresh engaging impressive powerful delightful memorable gripping touching stunning
    entertaining hilarious thrilling convincing witty compelling inspired terrific original elegant enjoyable
    tender honest graceful warm remarkable magnificent masterful rich subtle lively stylish inventive heartfelt
    captivating exciting thoughtful vivid poignant sharp breathtaking extraordinary outstanding refreshing riveting
    satisfying splendid marvelous intelligent absorbing believable uplifting gorgeous fascinating dazzling
    exquisite imaginative flawless enchanting polished assured magical nuanced profound radiant glorious sincere
    spirited energetic sensitive seamless engrossing bewitching sublime luminous impeccable exhilarating
    mesmerizing hypnotic evocative insightful ingenious sparkling brisk playful soulful triumphant irresistible
    endearing invigorating faultless authentic articulate understated atmospheric sumptuous lyrical resonant
    ravishing sophisticated virtuosic stirring unforgettable crisp zesty buoyant beguiling incisive poised lavish
    rousing astute disarming perceptive exuberant tasteful eloquent expressive winning effervescent scintillating
    peerless felicitous mellifluous deft limber sprightly transcendent superlative wondrous joyous blissful
    heartwarming cheerful jovial jubilant merry amiable affable genial likeable lovable adorable cute dreamy
    dynamic vibrant vigorous zippy snappy punchy nimble agile fluid harmonious melodious balanced cohesive coherent
    compact economical precise rigorous meticulous careful credible plausible relatable humane compassionate
    empathetic generous wise sage sagacious shrewd canny clearheaded lucid cogent persuasive provocative bold
    daring fearless audacious adventurous pioneering innovative visionary creative fertile novel groundbreaking
    singular distinctive unique exceptional superior stellar topnotch matchless unrivalled unsurpassed unequalled
    incomparable inimitable immaculate pristine spotless consummate accomplished adept proficient competent skilful
    dexterous expert seasoned commendable laudable praiseworthy admirable estimable creditable meritorious worthy
    noble stately majestic regal grand epic monumental towering resplendent lustrous gleaming shimmering glittering
    glowing incandescent fiery passionate ardent fervent zealous wholehearted earnest candid frank truthful
    sterling winsome comely alluring seductive tantalising addictive irrepressible ebullient vivacious bubbly
    frisky jaunty perky breezy carefree lighthearted droll wry comical uproarious sidesplitting riotous rollicking
    gratifying rewarding fulfilling nourishing
""")

NEGATIVE_ADJECTIVES = _words("""
    bad dull boring awful terrible weak poor stupid silly predictable slow annoying ugly lazy empty flat tedious
    bland clumsy shallow disappointing messy confusing ridiculous horrible pointless lifeless forced tired stale
    unfunny pretentious cheap sloppy irritating wooden dreadful forgettable tiresome uninspired painful dreary
    absurd hollow mediocre cliched unconvincing lame dismal contrived muddled ponderous repetitive sentimental
    amateurish incoherent implausible plodding mindless crude generic derivative bloated laughable grating insipid
    vapid ludicrous clunky abysmal atrocious appalling pathetic miserable unbearable monotonous vulgar trite
    manipulative superficial disjointed formulaic hackneyed sluggish joyless soulless turgid stilted strident
    overwrought unwatchable wretched soporific nonsensical obnoxious meandering inept charmless tasteless witless
    graceless listless cloying saccharine gratuitous overlong cumbersome murky drab dispiriting excruciating
    insufferable inane asinine banal threadbare shoddy slapdash rudimentary leaden stodgy lumbering mawkish syrupy
    pedestrian wearisome torpid garish lurid tawdry puerile sophomoric vacuous limp lacklustre anaemic bombastic
    incompetent botched senseless preposterous moronic maladroit risible execrable lugubrious jejune insubstantial
    dire woeful deplorable lamentable regrettable pitiful pitiable contemptible despicable detestable odious
    loathsome repugnant repulsive revolting disgusting nauseating sickening vile foul rancid rotten putrid fetid
    noxious toxic offensive grotesque hideous unsightly unattractive unappealing unpleasant disagreeable
    distasteful unsavoury unpalatable unimaginative unoriginal uninteresting unengaging uneventful unremarkable
    unimpressive unmoving unexciting unmemorable unintelligible unfathomable incomprehensible illogical irrational
    idiotic imbecilic cretinous dumb dopey daft foolish fatuous frivolous trivial trifling petty paltry measly
    meagre scant skimpy flimsy feeble frail puny impotent ineffective ineffectual inefficient inferior substandard
    subpar deficient defective flawed faulty broken damaged ruinous disastrous catastrophic calamitous cataclysmic
    grim gloomy bleak dismaying disheartening discouraging depressing demoralising draining exhausting taxing
    strenuous laborious onerous burdensome oppressive stifling suffocating grinding gruelling interminable endless
    protracted verbose wordy rambling digressive aimless directionless rudderless shapeless chaotic disorganised
    haphazard erratic uneven patchy choppy jerky jarring discordant dissonant cacophonous shrill whiny grumpy surly
    sullen morose dour humourless frigid sterile clinical robotic mechanical perfunctory
""")

POSITIVE_LIKING_VERBS = _words("loved liked enjoyed adored admired")

NEGATIVE_LIKING_VERBS = _words("hated disliked regretted resented loathed")

POSITIVE_EFFECT_VERBS = _words("moved impressed charmed delighted amused thrilled")

NEGATIVE_EFFECT_VERBS = _words("bored annoyed disappointed irritated exhausted bothered")

POSITIVE_ADVERBS = _words("wonderfully beautifully delightfully pleasantly")

NEGATIVE_ADVERBS = _words("painfully horribly hopelessly needlessly")

SINGULAR_ASPECTS = _words("""
    plot acting dialogue score ending script cast story direction pacing photography humour editing premise finale
    narration soundtrack romance lighting villain heroine opening climax setting narrator choreography cinematography
    mystery satire chemistry
""")

PLURAL_ASPECTS = _words("""
    characters jokes songs effects performances costumes scenes twists visuals stunts locations flashbacks dances
    conversations gags monologues chases lyrics
""")

INTENSIFIERS = _words("""
    very really truly quite extremely particularly remarkably utterly deeply especially entirely genuinely
    consistently wholly
""")

NEUTRAL_ADJECTIVES = _words("""
    french recent italian short japanese modern danish long british korean american spanish swedish early
    mexican
""")

COMPANIONS = _words("brother sister friend wife husband mother neighbour cousin colleague father roommate aunt")

DAYS = _words("friday saturday sunday monday tuesday wednesday thursday")

WEATHERS = _words("rainy cold quiet hot windy foggy snowy sunny grey stormy")

PLACES = _words("home town school london paris work oslo berlin sea")

DECADES = _words("nineties eighties seventies sixties fifties thirties twenties forties")

CRAFTS = _words("theatre television radio opera advertising journalism animation")
