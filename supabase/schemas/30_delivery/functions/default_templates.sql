create function private.default_templates()
returns table (scenario text, form text, language text, title text, body text)
language sql immutable parallel safe
set search_path = ''
as $$
  values
    ('inactivity', 'self', 'en', 'We miss you', 'It has been {days} days since your last activity, {first_name}. How are you? Log what you have done since, or talk to your coordinator.'),
    ('inactivity', 'self', 'nb', 'Vi savner deg', 'Det er {days} dager siden forrige aktivitet, {first_name}. Hvordan går det? Registrer det du har gjort siden sist, eller snakk med koordinatoren din.'),
    ('inactivity', 'self', 'es', 'Te echamos de menos', 'Han pasado {days} días desde tu última actividad, {first_name}. ¿Cómo estás? Registra lo que has hecho desde entonces o habla con tu coordinador.'),
    ('inactivity', 'coordinator', 'en', 'Somebody has gone quiet', '{person} has logged no activity for {days} days, since {since}. A call may help.'),
    ('inactivity', 'coordinator', 'nb', 'Noen har blitt stille', '{person} har ikke registrert aktivitet på {days} dager, siden {since}. En telefon kan hjelpe.'),
    ('inactivity', 'coordinator', 'es', 'Alguien lleva tiempo sin actividad', '{person} no ha registrado actividades en {days} días, desde el {since}. Una llamada puede ayudar.'),
    ('milestone', 'self', 'en', 'You have reached a milestone', 'Congratulations, {first_name}: {threshold} {metric} {period}! Thank you for being there for others.'),
    ('milestone', 'self', 'nb', 'Du har nådd en milepæl', 'Gratulerer, {first_name}: {threshold} {metric} {period}! Takk for at du er der for andre.'),
    ('milestone', 'self', 'es', 'Has alcanzado una meta', '¡Enhorabuena, {first_name}: {threshold} {metric} {period}! Gracias por estar ahí para otras personas.'),
    ('milestone', 'coordinator', 'en', 'Somebody has reached a milestone', '{person} has reached {threshold} {metric} {period}. A good moment to say thank you.'),
    ('milestone', 'coordinator', 'nb', 'Noen har nådd en milepæl', '{person} har nådd {threshold} {metric} {period}. En god anledning til å si takk.'),
    ('milestone', 'coordinator', 'es', 'Alguien ha alcanzado una meta', '{person} ha alcanzado {threshold} {metric} {period}. Un buen momento para dar las gracias.'),
    ('certification_expiry', 'self', 'en', 'A certificate is about to expire', 'Your certificate "{certificate}" expires on {expires_on}. Please renew it in time.'),
    ('certification_expiry', 'self', 'nb', 'Et sertifikat går snart ut', 'Sertifikatet ditt «{certificate}» går ut {expires_on}. Husk å fornye det i tide.'),
    ('certification_expiry', 'self', 'es', 'Un certificado está a punto de caducar', 'Tu certificado «{certificate}» caduca el {expires_on}. Renuévalo a tiempo, por favor.'),
    ('certification_expiry', 'coordinator', 'en', 'A certificate is about to expire', 'The certificate "{certificate}" of {person} expires on {expires_on}.'),
    ('certification_expiry', 'coordinator', 'nb', 'Et sertifikat går snart ut', 'Sertifikatet «{certificate}» til {person} går ut {expires_on}.'),
    ('certification_expiry', 'coordinator', 'es', 'Un certificado está a punto de caducar', 'El certificado «{certificate}» de {person} caduca el {expires_on}.'),
    ('pastoral_case', 'opened', 'en', 'Somebody to look after', 'Somebody of your households has been absent {absences} times in a row. Please log a home visit or a phone call.'),
    ('pastoral_case', 'opened', 'nb', 'Noen trenger oppfølging', 'Noen i familiene dine har vært borte {absences} ganger på rad. Ta gjerne et hjemmebesøk eller en telefon, og registrer det.'),
    ('pastoral_case', 'opened', 'es', 'Alguien necesita atención', 'Alguien de tus familias ha faltado {absences} veces seguidas. Registra una visita o una llamada, por favor.'),
    ('pastoral_case', 'reopened', 'en', 'Somebody is absent again', 'Somebody you looked after is absent again. Please log a home visit or a phone call.'),
    ('pastoral_case', 'reopened', 'nb', 'Noen er borte igjen', 'Noen du har fulgt opp, er borte igjen. Ta gjerne et hjemmebesøk eller en telefon, og registrer det.'),
    ('pastoral_case', 'reopened', 'es', 'Alguien vuelve a faltar', 'Alguien a quien atendías vuelve a faltar. Registra una visita o una llamada, por favor.'),
    ('pastoral_case', 'escalated', 'en', 'Urgent: somebody to look after', 'Somebody of your households has now been absent {absences} times in a row. Please do not wait.'),
    ('pastoral_case', 'escalated', 'nb', 'Haster: noen trenger oppfølging', 'Noen i familiene dine har nå vært borte {absences} ganger på rad. Vennligst ikke vent.'),
    ('pastoral_case', 'escalated', 'es', 'Urgente: alguien necesita atención', 'Alguien de tus familias ha faltado ya {absences} veces seguidas. No esperes, por favor.'),
    ('pastoral_case', 'assigned', 'en', 'Somebody to look after', 'You have been asked to look after somebody who is absent. Please log a home visit or a phone call.'),
    ('pastoral_case', 'assigned', 'nb', 'Noen trenger oppfølging', 'Du er bedt om å følge opp noen som har vært borte. Ta gjerne et hjemmebesøk eller en telefon, og registrer det.'),
    ('pastoral_case', 'assigned', 'es', 'Alguien necesita atención', 'Se te ha pedido que atiendas a alguien que falta. Registra una visita o una llamada, por favor.');
$$;
comment on function private.default_templates() is
  'The texts where an organisation has none of its own, in English, Norwegian and Spanish. Titles name no values, so that there is always one.';
revoke all on function private.default_templates() from public, anon, authenticated, service_role;
grant execute on function private.default_templates() to authenticated, service_role;
